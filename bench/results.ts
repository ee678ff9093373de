/** What a run of the benchmarks found out: written as JSON, and made into tables and charts. */
export interface Results {
  /** When it began, ISO 8601. */
  date: string
  machine: {
    /** Model and number of the processors. */
    cpu: string
    cores: number
    memoryBytes: number
    /** Name and release of the operating system. */
    system: string
    /** Whether server and load generator had a core each. */
    pinned: boolean
  }
  /** Of the runtime, of the libraries and programs that were measured; the git revision for Roomcast. */
  versions: Record<string, string>
  /** Who was left out, and why. */
  missing: Record<string, string>
  /** What could not be done as it was meant, in sentences. */
  remarks?: string[]
  shapes: ShapeResults[]
}

/** One way of loading a server, and what each of those that know it did. */
export interface ShapeResults {
  /** `hot`, `tick`, … */
  shape: string
  /** What it is, in a sentence. */
  title: string
  /** What `figures` of this shape are compared by. */
  figure: Figure
  /** The most that Roomcast's ratio to the baseline is meant to be; absent where there is no such aim. */
  target?: number
  /** What `target` is a ratio to, if not the baseline: Roomcast's own figure at the first of `points`. */
  versus?: 'first point'
  /** The least that Roomcast's figure is meant to be, where that is no ratio. */
  atLeast?: number
  /** Whose figure the others are divided by: `naive` where it knows the shape. */
  baseline: string
  /** By the number of members, or whatever else the shape varies; absent where it varies nothing. */
  points?: { parameter: string, values: number[] }
  measured: Measured[]
}

/** What is measured of a run; lower is better, but for those per second. */
export type Figure =
  | 'cpuNs' // the server's CPU time (user and system) per delivery, ns
  | 'cpuUs' // the same per connection opened and joined, µs
  | 'bytes' // resident memory per joined connection
  | 'p50Us' // median time from the publish to the receipt, µs
  | 'perSecond' // publishes per second
  | 'startMs' // time from the start of the process until it listens, ms

/** What one server did in one shape. */
export interface Measured {
  peer: string
  /** The value of `points.parameter`. */
  at?: number
  runs: Run[]
}

/** One run. What a shape does not measure is absent. */
export interface Run {
  cpuNs?: number
  userNs?: number
  systemNs?: number
  cpuUs?: number
  bytes?: number
  deliveries?: number
  deliveriesPerSecond?: number
  perSecond?: number
  startMs?: number
  /** A Redis' CPU time per message published, µs. */
  redisCpuUs?: number
  /** Messages that were due and never came. */
  lost?: number
  /** From the publish to the receipt, µs: percentiles 50, 90, 99, 99.9 and 100. */
  latencyUs?: { p50: number, p90: number, p99: number, p999: number, max: number }
  /** Share of a core that the load generator used: near 1, it was the bottleneck. */
  generatorLoad?: number
}
