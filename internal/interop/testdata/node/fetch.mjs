// node fetch.mjs URL: prints the body of a stream as fetch hands it on.
const response = await fetch(process.argv[2], { headers: { Accept: 'text/event-stream' } })
if (!response.ok) throw new Error(`answered ${response.status}`)
for await (const chunk of response.body) process.stdout.write(chunk)
