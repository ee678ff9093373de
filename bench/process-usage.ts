import { readFileSync } from 'node:fs'

/** The kernel counts CPU time for user space in hundredths of a second, whatever it is built with (USER_HZ). */
const TICKS_PER_SECOND = 100
/** Of the machines that Node runs on. */
const PAGE_BYTES = 4_096

/** What processes have used since they started. */
export interface Usage {
  userSeconds: number
  systemSeconds: number
  /** Resident memory. */
  bytes: number
}

/** The usage of some processes, added up; of one that is gone, nothing. See proc(5), `/proc/[pid]/stat`. */
export function usageOf (pids: number[]): Usage {
  const usage = { userSeconds: 0, systemSeconds: 0, bytes: 0 }
  for (const pid of pids) {
    let stat: string
    try {
      stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    } catch {
      continue
    }
    // The second field is the name, in brackets, and may contain anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    usage.userSeconds += Number(fields[11]) / TICKS_PER_SECOND
    usage.systemSeconds += Number(fields[12]) / TICKS_PER_SECOND
    usage.bytes += Number(fields[21]) * PAGE_BYTES
  }
  return usage
}
