"""Takes seats away whose lease is over, so that reviewers who have left hold nobody up."""

from services.ports import House
from services.reviews.seating import lose_expired

_REVIEWS_AT_ONCE = 100


def expire_seats(house: House) -> int:
    """Take expired seats away, a transaction a review, and return how many they were. Votes can still be given from
    them, as long as nobody else has taken the places.
    """
    with house.storage.read() as uow:
        uids = uow.seats.expired_in(now=uow.now(), count_max=_REVIEWS_AT_ONCE)
    lost = 0
    for uid in uids:
        with house.storage.write() as uow:
            lost += lose_expired(uow, uid, now=uow.now())
            uow.commit()
    return lost
