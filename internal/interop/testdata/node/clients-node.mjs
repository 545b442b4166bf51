// node clients-node.mjs STREAMS REPORTS: has the clients for Node listen, each to the
// stream of its name below STREAMS, and tell REPORTS what they get, until it is killed.
import { EventSource } from 'eventsource'
import { createEventSource } from 'eventsource-client'
import { clientSource, eventSource, reporter } from './clients.mjs'

const [streams, reports] = process.argv.slice(2)
const report = reporter(reports)
const open = (name, source, library) => source(library, `${streams}/node/${name}`, report(`node/${name}`))
open('eventsource', eventSource, EventSource)
open('eventsource-client', clientSource, createEventSource)
