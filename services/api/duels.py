"""The servicer of tutelage.v1.Duels."""

from services.api.requests import page_request, request_key
from services.api.translation import from_message, to_message
from services.domain.duel_resolution import DuelDraft
from services.domain.errors import InvalidField
from services.domain.projects import Caller
from services.duels.create_duel import create_duel
from services.duels.get_duel import get_duel
from services.duels.list_duels import list_duels
from services.ports import House
from tutelage.v1 import duels_pb2 as pb


class Duels:
    """Translates, calls one verb, translates back."""

    def __init__(self, *, house: House) -> None:
        self._house = house

    def create_duel(self, caller: Caller, request: pb.CreateDuelRequest) -> pb.Duel:
        if not request.HasField("duel"):
            raise InvalidField.of("duel", "is required")
        duel = create_duel(
            self._house,
            caller=caller,
            parent=request.parent,
            draft=from_message(request.duel, DuelDraft),
            duel_id=request.duel_id,
            request=request_key(request),
        )
        return to_message(duel, pb.Duel)

    def get_duel(self, caller: Caller, request: pb.GetDuelRequest) -> pb.Duel:
        return to_message(get_duel(self._house, caller=caller, name=request.name), pb.Duel)

    def list_duels(self, caller: Caller, request: pb.ListDuelsRequest) -> pb.ListDuelsResponse:
        found, token = list_duels(self._house, caller=caller, parent=request.parent, page=page_request(request))
        return pb.ListDuelsResponse(duels=[to_message(each, pb.Duel) for each in found], next_page_token=token)
