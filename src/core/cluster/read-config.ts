/** The `config` key: the dynamic configuration all members share, with Patroni's defaults. */
import type { DynamicConfig, KeyValue } from './types.ts'
import {
  field,
  isObject,
  type JsonObject,
  type Place,
  parseBoolean,
  quote,
  readFlag,
  readNumber,
  readObject,
} from './values.ts'

const TTL_SECONDS = 30
const LOOP_WAIT_SECONDS = 10
/** A day: a longer lease or pause between loops is a slip of the pen. */
const SECONDS_MAX = 86_400

/** The configuration in the key; what is absent or faulty has Patroni's default. */
export function readConfig(entry: KeyValue | undefined, place: Place): DynamicConfig {
  const raw = (entry && readObject(entry.value, place)) ?? {}
  const limits = { min: 1, max: SECONDS_MAX }
  const standbyCluster = isStandbyCluster(raw)
  return {
    ttlMs: 1000 * readNumber(raw, 'ttl', limits, TTL_SECONDS, place),
    loopWaitMs: 1000 * readNumber(raw, 'loop_wait', limits, LOOP_WAIT_SECONDS, place),
    paused: readFlag(raw, 'pause', place),
    // A standby cluster has no synchronous mode, whatever its configuration says.
    synchronous: standbyCluster ? 'off' : readSynchronous(raw, place),
    failsafe: readFlag(raw, 'failsafe_mode', place),
    standbyCluster,
    raw,
  }
}

function readSynchronous(raw: JsonObject, place: Place): DynamicConfig['synchronous'] {
  const value = field(raw, 'synchronous_mode')
  if (typeof value === 'string' && value.toLowerCase() === 'quorum') return 'quorum'
  const on = value === undefined ? false : parseBoolean(value)
  if (on === null) place.faults.add(place.key, `synchronous_mode is not known: ${quote(value)}`)
  return on ? 'on' : 'off'
}

/** As Patroni decides it: a section that says where to replicate from. */
function isStandbyCluster(raw: JsonObject): boolean {
  const section = field(raw, 'standby_cluster')
  if (!isObject(section)) return false
  return ['host', 'port', 'restore_command'].some((name) => Boolean(field(section, name)))
}
