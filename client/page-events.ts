/** Reports that the page became visible, and that the network changed; returns a function that stops this. */
export function listenToPage (onVisible: () => void, onNetwork: () => void): () => void {
  if (typeof document === 'undefined') return () => {}
  const onVisibility = (): void => { if (document.visibilityState === 'visible') onVisible() }
  document.addEventListener('visibilitychange', onVisibility)
  addEventListener('online', onNetwork)
  addEventListener('offline', onNetwork)
  return () => {
    document.removeEventListener('visibilitychange', onVisibility)
    removeEventListener('online', onNetwork)
    removeEventListener('offline', onNetwork)
  }
}
