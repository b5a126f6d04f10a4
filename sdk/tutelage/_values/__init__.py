"""What the service answers: typed, frozen copies of its messages, without protobuf."""
