// node frameworks-ioredis.mjs HOST PORT PROTOCOL: what frameworks do with a Redis beside
// PUBLISH and SUBSCRIBE. It fails where an answer is another than a Redis would give.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Redis } from 'ioredis'

const [host, port, protocol] = process.argv.slice(2)
const options = { host, port, protocol: Number(protocol), connectionName: 'framework' }
const client = new Redis(options)
const subscriber = new Redis(options)

assert.deepEqual(await client.multi().publish('/none', 'x').ping().exec(), [[null, 0], [null, 'PONG']])
await client.watch('key')
assert.deepEqual(await client.multi().publish('/none', 'x').exec(), [[null, 0]])
await assert.rejects(client.multi().set('a', 'b').publish('/none', 'x').exec(), /EXECABORT/)

assert.equal((await client.role())[0], 'master')
assert.equal((await client.time()).length, 2)
assert.equal(await client.dbsize(), 0)
assert.equal(await client.exists('a', 'b'), 0)
assert.ok((await client.config('GET', 'maxclients')).includes('maxclients'))
assert.match(await client.client('LIST'), /name=framework/)

const bytes = Buffer.from([0xff, 0x00, 0x0d, 0x0a, 0xfe])
await subscriber.subscribe('/binary', '/none')
await subscriber.ssubscribe('/binary')
for (const channel of ['/binary', '/none']) {
  const message = once(subscriber, 'messageBuffer')
  assert.equal(await client.publish(channel, bytes), 1)
  assert.deepEqual((await message).map(String), [channel, String(bytes)])
  assert.deepEqual((await message)[1], bytes)
}
await assert.rejects(client.publish('/text', bytes), /PATTERN=base64.*PATTERN=none/)
const message = once(subscriber, 'smessageBuffer')
assert.equal(await client.spublish('/binary', bytes), 1)
assert.deepEqual((await message)[1], bytes)
assert.deepEqual(await client.pubsub('SHARDNUMSUB', '/binary'), ['/binary', 1])
assert.deepEqual(await client.pubsub('SHARDCHANNELS'), ['/binary'])
await subscriber.sunsubscribe('/binary')
assert.equal(await client.spublish('/binary', bytes), 0)

const closed = once(subscriber, 'close')
assert.equal(await client.client('KILL', 'TYPE', 'pubsub'), 1)
await closed
subscriber.disconnect()
await client.quit()
console.log('ok')
