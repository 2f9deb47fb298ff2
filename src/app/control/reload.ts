/** SIGHUP: a new configuration takes effect where it can, as a whole or not at all. */
import { type Config, listenerPolicies, workerSettings } from '../../core/config/index.ts'
import { loadConfig } from '../../io/files/config-file.ts'
import type { ControlProcess } from './control-process.ts'
import { etcdSettings, restSettings, workerCount } from './settings.ts'

/** Reads the file again. A faulty one changes nothing; all its faults are logged. */
export async function reload(control: ControlProcess, path: string): Promise<void> {
  const { log } = control.options
  const { config, problems, files } = loadConfig(path, process.env)
  const errors = problems.filter((it) => it.severity === 'error')
  if (config === null || config.router === null) {
    const faults = errors.length > 0 ? errors : [{ message: 'there is no router section any more' }]
    log.error({ faults }, 'reload refused, the old configuration stays')
    return control.journal.emit('reload', { ok: false, faults })
  }
  for (const problem of problems) log.warn({ ...problem }, 'configuration warning')
  const kept = keepFixed(control, config)
  control.config = kept
  control.files = files
  await apply(control)
}

async function apply(control: ControlProcess): Promise<void> {
  const { config, files, fleet, supervisor, options } = control
  options.log.level = config.log.level
  control.loop.setPolicies(listenerPolicies(config))
  await Promise.resolve() // the table for new listeners goes out before the listeners open
  const staying = supervisor.workers.filter((it) => it.connected && it.at.kind === 'serving')
  fleet.reconfigure(
    workerSettings(config, files),
    staying.map((it) => it.pid),
  )
  control.warnOfOpenFiles()
  const graceMs = config.router?.shutdownGraceMs ?? 0
  supervisor.apply({ kind: 'resized', wanted: workerCount(config), graceMs })
  const etcdChanged = control.etcd.reopen(etcdSettings(config, files))
  await changeRest(control)
  options.log.info({ etcd_reopened: etcdChanged }, 'configuration reloaded')
  control.journal.emit('reload', { ok: true })
}

async function changeRest(control: ControlProcess): Promise<void> {
  const { config, files, options } = control
  try {
    await control.rest.change(restSettings(config, files))
  } catch (error) {
    options.log.error({ why: String(error) }, 'the REST address can not be changed, the old stays')
  }
}

/** Who we are and where our run directory is can't change while workers live. */
function keepFixed(control: ControlProcess, next: Config): Config {
  const before = control.config
  const fixed = ['scope', 'name', 'prefix'] as const
  const changed: string[] = fixed.filter((key) => before[key] !== next[key])
  if (before.router?.runDir !== next.router?.runDir) changed.push('router.run_dir')
  if (changed.length > 0) {
    control.options.log.warn({ changed }, 'these settings take effect at the next start')
  }
  const { scope, name, namespace, prefix } = before
  return { ...next, scope, name, namespace, prefix }
}
