/** Whether the limit of open files lets a worker serve as many clients as are allowed. */

/** The client's connection and the server's. */
const FILES_PER_CLIENT = 2
/** Listeners, the control socket, the log, and attempts to connect that are given up. */
const FILES_BESIDE = 200

/** What to warn of, with numbers; null when `limit` is enough or not known. */
export function openFilesWarning(maxClients: number, limit: number | null): string | null {
  const needed = maxClients * FILES_PER_CLIENT + FILES_BESIDE
  if (limit === null || limit >= needed) return null
  return (
    `a process may have ${limit} files open, and router.limits.max_clients: ${maxClients} ` +
    `may take ${needed}: raise the limit (LimitNOFILE) or lower max_clients`
  )
}
