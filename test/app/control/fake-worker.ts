/** A worker without sockets for clients: speaks the fleet's protocol, counts, obeys. */
import { parseArgs } from 'node:util'
import { packageVersion } from '../../../src/app/version.ts'
import { NOTHING_COUNTED } from '../../../src/core/api/fleet-totals.ts'
import { END_REASONS, FLEET_PROTOCOL, type ToWorker } from '../../../src/core/fleet/messages.ts'
import type { RouteTable } from '../../../src/core/routing/types.ts'
import { dialControl } from '../../../src/io/processes/control-socket.ts'
import { readMessages, sendMessage } from '../../../src/io/processes/lines.ts'

const text = { type: 'string' } as const
const { values } = parseArgs({ strict: false, options: { socket: text, index: text } })
const index = Number(values['index'])
const startedAtMs = performance.now()
let settingsSerial = 0
let table: RouteTable | null = null

async function dial(): Promise<void> {
  const socket = await dialControl(String(values['socket']))
  if (socket === null) return void setTimeout(dial, 50)
  const send = (message: object) => sendMessage(socket, message)
  const report = setInterval(() => send({ kind: 'stats', stats: stats() }), 50)
  socket.on('close', () => {
    clearInterval(report)
    void dial()
  })
  readMessages(socket, (message) => obey(message as ToWorker, send))
  send({
    ...{ kind: 'hello', protocol: FLEET_PROTOCOL, version: packageVersion(), pid: process.pid },
    ...{ index, slots: { clients: 0, held: 0 }, settingsSerial, ownsUnixSockets: false, table },
  })
}

function obey(message: ToWorker, send: (message: object) => void): void {
  if (message.kind === 'settings') {
    settingsSerial = message.serial
    send({ kind: 'listening', settingsSerial, faults: [] })
    send({ kind: 'want', slot: 'clients', count: 1000 })
  } else if (message.kind === 'grant') {
    send({ kind: 'event', name: 'granted', data: { slot: message.slot, count: message.count } })
  } else if (message.kind === 'reclaim') send({ kind: 'return', slot: message.slot, count: 0 })
  else if (message.kind === 'table') {
    table = message.table
    const route = table.listeners['write']?.primary.kind
    send({ kind: 'event', name: 'table', data: { route, leader: table.leader } })
    send({ kind: 'switched', serial: table.serial, cut: 0 })
  } else if (message.kind === 'drain') process.exit(0)
  else if (message.kind === 'list-clients') send({ kind: 'clients', id: message.id, clients: [] })
}

/** Ten connections at once, then one more every 10 ms. */
function stats() {
  const accepted = 10 + Math.floor((performance.now() - startedAtMs) / 10)
  const write = { ...NOTHING_COUNTED, accepted, current: 3, ended: { [END_REASONS[0]]: accepted } }
  const eventLoopDelayMs = { p50: 0, p99: 0, max: 0 }
  return { listeners: { write }, backends: {}, eventLoopDelayMs, rssBytes: 1, cpuUs: accepted }
}

void dial()
