/** The daemon with a worker script of the test's choice: `run-control.ts CONFIG WORKER`. */
import { runDaemon } from '../../../src/app/daemon.ts'

const [config, workerScript] = process.argv.slice(2)
const report = (problems: readonly object[]) => void process.stderr.write(JSON.stringify(problems))
process.exit(await runDaemon(config!, { workerScript: workerScript!, report }))
