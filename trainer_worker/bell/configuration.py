"""How Celery is set up, so that a bell is heard once, forgotten at once, and never repeated.

Each setting was chosen after measuring what happens without it; the publisher in services uses the same names.
"""

TASK = "tutelage.bell"
QUEUE = "tutelage.bells"

CONFIGURATION = {
    "task_serializer": "json",
    "accept_content": ["json"],
    "result_backend": None,
    "task_ignore_result": True,
    # A bell is never replayed: the reconciler of services rings again for a job that still waits.
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    # Only threads with early ack survive a MemoryError in the task; prefork and solo end.
    "worker_pool": "threads",
    "worker_concurrency": 1,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,
    "broker_transport_options": {
        "visibility_timeout": 60,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "global_keyprefix": "tutelage:",
    },
}
