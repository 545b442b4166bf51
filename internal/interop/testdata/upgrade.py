# python3 upgrade.py HOST PORT: what node/upgrade-ioredis.mjs does, with redis-py.
import sys
import threading
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

options = dict(host=sys.argv[1], port=int(sys.argv[2]), retry=Retry(NoBackoff(), 0), retry_on_error=[])
publisher = redis.Redis(single_connection_client=True, **options)
subscriber = redis.Redis(**options).pubsub(ignore_subscribe_messages=True)
channel = "/redis-py"
subscriber.subscribe(channel)
subscriber.get_message(timeout=60)
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
me, sent, heard = publisher.client_id(), 0, 0
while True:
    with publisher.pipeline() as p:
        assert p.publish(channel, sent).publish(channel, sent + 1).execute() == [1, 1]
    assert publisher.publish(channel, sent + 2) == 1
    for heard in range(sent, sent + 3):
        assert subscriber.get_message(timeout=60)["data"] == str(heard).encode(), heard
    if sent == 0:
        print("ready", flush=True)
    sent += 3
    if over.is_set():
        break
assert publisher.client_id() == me
assert subscriber.get_message(timeout=0) is None
print("heard", sent)
