import { test } from 'tap'
import { readRetryAfter } from '../../client/delay.ts'

function read (headers: Record<string, string>): number | undefined {
  return readRetryAfter(new Headers(headers))
}

test('Retry-After is a number of seconds, or a date beside that of the response, whatever the own clock says', (t) => {
  const date = 'Sun, 06 Nov 1994 08:49:37 GMT'
  t.equal(read({}), undefined)
  t.equal(read({ 'retry-after': '60' }), 60_000)
  t.equal(read({ 'retry-after': 'Sun, 06 Nov 1994 08:50:07 GMT', date }), 30_000)
  t.equal(read({ 'retry-after': 'Sun, 06 Nov 1994 08:00:00 GMT', date }), 0, 'a date that has passed')
  t.equal(read({ 'retry-after': 'Sun, 06 Nov 2094 08:49:37 GMT', date }), 3_600_000, 'at most an hour')
  t.equal(read({ 'retry-after': date }), 0, 'a browser hides the date of the response')
  t.equal(read({ 'retry-after': 'soon', date }), undefined)
  t.end()
})
