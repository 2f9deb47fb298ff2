/** `pgsteer check FILE`: says everything that is wrong with a configuration and starts nothing. */
import { join } from 'node:path'
import { Command } from 'commander'
import type { Env, Problem } from '../../core/config/index.ts'
import { loadConfig } from '../../io/files/config-file.ts'

/** A terminal the report goes to, as far as the report cares. */
export type CheckOptions = { readonly json: boolean; readonly colour: boolean }

export type CheckReport = { readonly text: string; readonly exitCode: 0 | 1 }

export function checkCommand(): Command {
  return new Command('check')
    .description('validate a configuration')
    .argument('[file]', 'YAML file or directory of YAML files (default: $PATRONI_CONFIGURATION)')
    .option('-c, --config <file>', 'the same as an option')
    .option('--json', 'print one JSON object')
    .action((file: string | undefined, flags: { config?: string; json?: true }, self: Command) => {
      const path = file ?? flags.config ?? ''
      if (path === '' && !process.env['PATRONI_CONFIGURATION']) {
        self.error("error: missing required argument 'file'", { exitCode: 2 })
      }
      const colour = process.stdout.isTTY === true && !process.env['NO_COLOR']
      const report = checkFile(path, process.env, { json: flags.json === true, colour })
      process.stdout.write(report.text)
      process.exitCode = report.exitCode
    })
}

/** The whole report on one file. Exit code 1 when it holds an error. */
export function checkFile(path: string, env: Env, options: CheckOptions): CheckReport {
  const { problems } = loadConfig(path, env)
  const errors = problems.filter((it) => it.severity === 'error').length
  const warnings = problems.length - errors
  const name = path === '' ? 'PATRONI_CONFIGURATION' : path
  const exitCode = errors > 0 ? 1 : 0
  if (options.json) {
    const report = { ok: errors === 0, file: name, errors, warnings, problems }
    return { text: `${JSON.stringify(report)}\n`, exitCode }
  }
  const lines = problems.map((it) => `${problemLine(name, it, options.colour)}\n`)
  const verdict = errors > 0 ? 'not usable' : 'ok'
  const counts = `${counted(errors, 'error')}, ${counted(warnings, 'warning')}`
  return { text: `${lines.join('')}${name}: ${verdict} (${counts})\n`, exitCode }
}

/** `node.yml:12:7: error router.listeners[0].mode: found …` */
export function problemLine(name: string, problem: Problem, colour: boolean): string {
  const file = problem.file === undefined ? name : join(name, problem.file)
  const place = problem.line === null ? file : `${file}:${problem.line}:${problem.column ?? 1}`
  const ink = problem.severity === 'error' ? 31 : 33
  const word = colour ? `\u001b[${ink}m${problem.severity}\u001b[0m` : problem.severity
  const subject = problem.path === '' ? '' : ` ${problem.path}`
  return `${place}: ${word}${subject}: ${problem.message}`
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
