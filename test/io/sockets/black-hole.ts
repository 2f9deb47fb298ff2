/**
 * An address that answers no connection attempt: a process that listens with the shortest queue,
 * never accepts, and whose queue is filled.
 */
import net from 'node:net'
import type { Rig } from '../../rig/processes.ts'
import { until } from '../../rig/wait.ts'

const LISTEN = `
import socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', int(sys.argv[1])))
s.listen(0)
sys.stdin.read()
time.sleep(1000)
`
const FILLERS = 4

export async function startBlackHole(rig: Rig): Promise<{ readonly port: number }> {
  const port = rig.takePorts(1)
  const listener = rig.start('/usr/bin/python3', ['-c', LISTEN, String(port)])
  const fillers: net.Socket[] = []
  rig.defer(async () => {
    for (const socket of fillers) socket.destroy()
    await listener.stop('SIGKILL')
  })
  const fill = () =>
    new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(true))
      socket.on('error', () => resolve(false))
      fillers.push(socket)
    })
  await until(fill, { limitMs: 3000, what: 'listener' })
  for (let count = 0; count < FILLERS; count++) void fill()
  await until(async () => !(await Promise.race([fill(), soon()])), {
    limitMs: 3000,
    what: 'silence',
  })
  return { port }
}

function soon(): Promise<boolean> {
  return new Promise((resolve) => setTimeout(() => resolve(false), 150))
}
