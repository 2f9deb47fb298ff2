/**
 * Plain object + environment → checked configuration and all its problems. Pure: reading YAML and
 * certificate files is `io/files`' work.
 */
import { buildConfig } from './build.ts'
import { overlayEnvironment } from './environment.ts'
import { isMap } from './parse.ts'
import { type PemUse, pemUses } from './pem-uses.ts'
import { openProblemLog, type ProblemLog } from './problems.ts'
import { applyRules } from './rules.ts'
import type { Config, Env, Problem, Purpose, Where } from './types.ts'
import { walkDocument } from './walk.ts'

export type { PemUse } from './pem-uses.ts'
export { listenerPolicies, workerSettings } from './slices.ts'
export type * from './types.ts'

/**
 * Checks a whole configuration. `config` is null when there is an error; warnings leave it usable.
 * Never throws on any JSON-like source. `where` finds places in the text for the problems.
 */
export function checkConfig(
  source: unknown,
  where: Where,
  env: Env,
  purpose: Purpose = 'run',
): { config: Config | null; problems: Problem[] } {
  const { build, log } = examineConfig(source, where, env, purpose)
  return { config: build(), problems: log.problems() }
}

export type Examination = {
  /** Further problems may be added before `build`. */
  readonly log: ProblemLog
  readonly pemUses: readonly PemUse[]
  /** The configuration, or null while `log` holds an error. */
  readonly build: () => Config | null
}

/** `checkConfig` in two steps, for callers that also check files the configuration names. */
export function examineConfig(
  source: unknown,
  where: Where,
  env: Env,
  purpose: Purpose = 'run',
): Examination {
  const overlay = overlayEnvironment(source, env)
  const log = openProblemLog(where, overlay.variables)
  for (const { name, near } of overlay.unknown) {
    const hint = near === null ? '' : `; did you mean ${near}?`
    log.warning([name], `unknown variable, ignored${hint}`)
  }
  const values = walkDocument(overlay.source, log, purpose)
  if (isMap(overlay.source)) applyRules(values, overlay.source, log, purpose)
  const failed = () => log.problems().some((it) => it.severity === 'error')
  const build = () => (failed() ? null : buildConfig(values, overlay.source, purpose))
  // Commands touch no file of the router's, and their user may not be allowed to read them.
  const uses = pemUses(values).filter((it) => purpose === 'run' || it.path[0] !== 'router')
  return { log, pemUses: uses, build }
}
