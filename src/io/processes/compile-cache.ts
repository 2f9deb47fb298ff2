/**
 * Node's cache of compiled modules. A worker that was killed is back sooner with it: from the
 * sources of a checkout in 50 ms and not 140, and 40 MB smaller, because Node does not load what
 * strips the types. It is the cache this process was started with, else one in the run directory;
 * nobody else enters either.
 */
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'

/** The environment of a process that is to use our cache, or one below `dir`. */
export function compileCacheIn(dir: string): Readonly<Record<string, string>> {
  return { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(dir, 'compiled') }
}

let isKept = false

/**
 * Writes what this process compiled to the cache it was started with, if any. Node does so itself at
 * an orderly end, which a process like this may never have. Once is enough.
 */
export function keepCompiled(): void {
  if (!isKept) flushCompileCache()
  isKept = true
}
