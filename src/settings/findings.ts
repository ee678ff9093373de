/** The result of checking the settings: a text for each fault and for each warning, which names the setting. */
export interface Findings {
  /** Reasons not to start. */
  faults: string[]
  /** Settings that probably have another effect than intended. */
  warnings: string[]
}
