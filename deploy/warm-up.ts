/** Loads what the command, the daemon and its workers load, so that Node caches it compiled. */
import { flushCompileCache } from 'node:module'

process.argv = [...process.argv.slice(0, 2), 'version']
await import('../src/main.ts')
await import('../src/app/ctl/run.ts')
await import('../src/app/daemon.ts')
await import('../src/app/proxy-worker.ts')
flushCompileCache()
