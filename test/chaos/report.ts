import { seconds as formatSeconds, smallest, type Violation } from './checker.ts'
import type { Result } from './run.ts'

/** A run as a table. */
export function describeResult (result: Result): string {
  const {
    options: { seconds, seed, durable }, acknowledged, unknown, attempts, delivered, resumes, recovered, counts, faults,
    longestOutageMs, convergedMs
  } = result
  const rows: [string, string][] = [
    ['acknowledged', `${acknowledged}, in ${attempts} attempts`],
    ['unknown', String(unknown)],
    ['delivered', String(delivered)],
    ['resumes', `${resumes}, of which ${recovered} recovered and ${resumes - recovered} were told that they are not`],
    ['gaps', `${counts.gaps} found, ${counts.filled} pages filled in`],
    ['resets', String(counts.resets)],
    ['duplicates dropped', String(counts.duplicates)],
    ['probe failures', String(counts.probeFailures)],
    ...[...faults].sort(([a], [b]) => a.localeCompare(b)).map(([name, count]): [string, string] => [`  ${name}`, String(count)]),
    ['longest outage', formatSeconds(longestOutageMs)],
    ['converged', convergedMs === undefined ? 'no' : `${formatSeconds(convergedMs)} after the last publish`],
    ['violations', String(result.violations.length)]
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  return [
    `\nchaos: ${seconds} s, seed ${seed}, Redis ${durable ? 'durable' : 'volatile'}`,
    ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)
  ].join('\n')
}

/** How many of each kind, and the smallest of each in its own words. */
export function describeViolations (violations: Violation[]): string {
  const byRule = new Map<string, number>()
  for (const { rule } of violations) byRule.set(rule, (byRule.get(rule) ?? 0) + 1)
  const shown = [...byRule.keys()].map((name) => smallest(violations.filter(({ rule }) => rule === name)) as Violation)
  return [
    `\nviolated: ${[...byRule].map(([rule, count]) => `${rule} ${count} ×`).join(', ')}`,
    ...shown.flatMap(({ rule, text, excerpt }) => [`${rule}: ${text}`, ...excerpt.map((line) => `    ${line}`)])
  ].join('\n')
}
