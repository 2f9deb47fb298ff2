/** What a process holds just now, from /proc. */
import { readdirSync, readFileSync } from 'node:fs'

export function rssBytes(pid: number): number {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1] ?? 0) * 1024
}

export function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}
