# python3 frameworks.py HOST PORT: what frameworks do with a Redis beside PUBLISH and
# SUBSCRIBE, with redis-py, whose pipelines are transactions.
import sys
import redis

client = redis.Redis(host=sys.argv[1], port=int(sys.argv[2]), client_name="framework")
with client.pipeline() as p:  # MULTI, EXEC
    assert p.publish("/none", "x").ping().execute() == [0, True]
with client.pipeline() as p:
    p.watch("key")
    p.multi()
    assert p.publish("/none", "x").execute() == [0]
with client.pipeline() as p:
    try:
        p.set("a", "b").publish("/none", "x").execute()
        raise AssertionError("SET was taken")
    except redis.ResponseError as e:
        assert "unknown command" in str(e), e
assert client.role()[0] == b"master"
assert len(client.time()) == 2 and client.dbsize() == 0 and client.exists("a", "b") == 0
assert "maxclients" in client.config_get("max*")
me = [c for c in client.client_list() if c["name"] == "framework"]
assert len(me) == 1, me
assert client.client_list(_type="pubsub") == []

data = bytes([0xFF, 0x00, 0x0D, 0x0A, 0xFE])
sub = client.pubsub()
sub.subscribe("/binary", "/none")
sub.psubscribe("/none*")
assert [sub.get_message(timeout=60)["type"] for _ in range(3)] == ["subscribe", "subscribe", "psubscribe"]
assert client.publish("/binary", data) == 1
assert sub.get_message(timeout=60)["data"] == data
assert client.publish("/none", data) == 2
assert [sub.get_message(timeout=60)["data"] for _ in range(2)] == [data, data]
try:
    client.publish("/text", data)
    raise AssertionError("bytes were taken as text")
except redis.ResponseError as e:
    assert "PATTERN=base64" in str(e) and "PATTERN=none" in str(e), e
assert client.client_kill_filter(_type="pubsub") == 1
client.close()
print("ok")
