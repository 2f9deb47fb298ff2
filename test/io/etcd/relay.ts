/** Hostile networks on loopback: a relay that goes silent, and a port that swallows SYN. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export type Relay = {
  readonly address: string
  /** Stops forwarding both ways and keeps every socket open; new ones are accepted and ignored. */
  freeze(): void
  thaw(): void
  close(): Promise<void>
}

/** Forwards `on:port` to `target` (`host:port`). */
export async function startRelay(port: number, target: string, on = '127.0.0.1'): Promise<Relay> {
  const sockets = new Set<Socket>()
  let frozen = false
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    if (frozen) socket.pause()
  }
  const join = (from: Socket, to: Socket) => {
    from.on('data', (chunk) => to.write(chunk))
    from.on('end', () => !frozen && to.end())
  }
  const [host, targetPort] = target.split(':')
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ host: host!, port: Number(targetPort), allowHalfOpen: true })
    join(client, upstream)
    join(upstream, client)
    keep(client)
    keep(upstream)
  })
  server.listen(port, on)
  await once(server, 'listening')
  return {
    address: `${on}:${port}`,
    freeze() {
      frozen = true
      for (const socket of sockets) socket.pause()
    },
    thaw() {
      frozen = false
      for (const socket of sockets) socket.resume()
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

const LISTENER = `
  const server = require('node:net').createServer()
  server.listen({ port: Number(process.argv[1]), host: '127.0.0.1', backlog: 1 },
    () => process.stdout.write('listening'))
`
const FILLERS_MAX = 20
const HUNG_AFTER_MS = 300

/** A port whose accept queue is full and whose owner sleeps: the kernel drops every further SYN. */
export async function startSynSink(port: number): Promise<{ close(): Promise<void> }> {
  const child = spawn(process.execPath, ['-e', LISTENER, String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const fillers: Socket[] = []
  const close = async () => {
    for (const filler of fillers) filler.destroy()
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  await once(child.stdout, 'data')
  child.kill('SIGSTOP')
  for (let full = false; !full; ) {
    if (fillers.length > FILLERS_MAX) {
      await close()
      throw new Error('the accept queue does not fill')
    }
    const filler = connect(port, '127.0.0.1').on('error', () => {})
    fillers.push(filler)
    full = await Promise.race([
      once(filler, 'connect').then(() => false),
      sleep(HUNG_AFTER_MS, true, { ref: false }),
    ])
  }
  return { close }
}
