"""The limits of the front door, each with its reason."""

MIB = 1024 * 1024

# One message, either way. Uploads come in pieces of at most 1 MiB, so nothing honest is larger.
MESSAGE_BYTES_MAX = 4 * MIB
# Metadata of one call: above the first number calls are refused more and more often, above the second always.
METADATA_BYTES_SOFT = 8 * 1024
METADATA_BYTES_MAX = 16 * 1024
# Streams of one connection; a client that needs more opens another connection.
STREAMS_PER_CONNECTION_MAX = 100
# Calls at the same time in this process, open streams among them: 500 watchers of one job and then some. More are
# refused at once, which is better than a queue that nobody sees.
CALLS_MAX = 2048
# Connections at the same time. Helps only together with the time for a handshake: idle sockets would hold all places.
CONNECTIONS_MAX = 1024
HANDSHAKE_S = 5

# The server pings quiet clients, and bears their pings if they are 20 seconds apart; the SDK pings every 60 seconds.
KEEPALIVE_S = 60
KEEPALIVE_TIMEOUT_S = 20
PING_INTERVAL_MIN_S = 20
PING_STRIKES_MAX = 3
# Old connections end, so that new gateways get their share; streams resume by cursor.
CONNECTION_IDLE_S = 15 * 60
CONNECTION_AGE_S = 30 * 60
CONNECTION_AGE_GRACE_S = 60

# What a method without `seconds_max` gets.
CALL_SECONDS_DEFAULT = 30
# How long a server stream may keep us waiting for its one request.
REQUEST_SECONDS = 30

# How long an answer about a key is believed. Services ask SQL again on every call, so a revoked key is dead before.
KEY_ACCEPTED_S = 5
KEY_REFUSED_S = 5
KEYS_REMEMBERED_MAX = 10_000
# How long services may take to answer about a key.
AUTHENTICATE_S = 5
# Unknown keys that one address may try: 20 at once, then one a second. Nobody guesses 2^256 keys anyway; the limit
# protects services from the questions.
UNKNOWN_KEYS_BURST = 20
UNKNOWN_KEYS_PER_SECOND = 1
ADDRESSES_REMEMBERED_MAX = 10_000
# Projects whose use is counted at the same time.
PROJECTS_REMEMBERED_MAX = 10_000
# A project may use this many seconds of its rate at once.
RATE_BURST_S = 2
# When to come back after a refusal for too many open streams.
STREAMS_RETRY_S = 5

# How long a signed principal may be used. Services accept at most 60 seconds; the rest is for clocks that differ.
PRINCIPAL_S = 30

# When to come back after UNAVAILABLE: about as long as a killed process takes to be back.
UNAVAILABLE_RETRY_S = 1
# Pause between two attempts to reach a room again, at first and at most.
RECONNECT_MIN_S = 0.1
RECONNECT_MAX_S = 1
# Calls that share one connection to a room, and connections to one room: together more than CALLS_MAX.
CALLS_PER_LINE = 90
LINES_MAX = 24

# How often the rooms behind the door are asked for their health, and how long they may take.
HEALTH_INTERVAL_S = 1
HEALTH_TIMEOUT_S = 2
# Watchers of the gateway's own health at the same time: balancers, which show no key.
HEALTH_WATCHERS_MAX = 32

# The HTTP door: a request body, the nesting of its JSON, its headers, and how long the body may take to arrive.
BODY_BYTES_MAX = MESSAGE_BYTES_MAX
JSON_DEPTH_MAX = 32
HEADER_BYTES_MAX = METADATA_BYTES_MAX
BODY_SECONDS = 30
# Bodies above this are translated in a thread, so that the loop goes on.
TRANSLATE_INLINE_BYTES_MAX = 32 * 1024
