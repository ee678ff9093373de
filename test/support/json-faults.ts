/** JSON values that parse, and that no entry point accepts. */
export const FAULTY_JSON = [
  '{"__proto__":1}', '{"a":[{"__proto__":{}}]}', '{"\\u005f_proto__":null}', '{"constructor":{"prototype":1}}',
  '1e309', '-1e309', '[1E+400]', '{"a":1e0000309}', `1${'0'.repeat(309)}`, `${'9'.repeat(300)}e10`,
  '"\\ud83d"', '"\\udc4b"', '"a\\udc4b\\ud83d"', '["\\uD83D\\uD83D"]', '{"\\ud83d":1}', '{"a":{"\\udfff":1}}'
]

/** JSON values that look like those and are good. */
export const SOUND_JSON = [
  '{"prototype":1,"constructor":null,"proto":{}}', '{"constructor":{"name":"x"}}', '"__proto__"', '["\\"__proto__\\":"]',
  '1e308', '1e-400', '[1.7976931348623157e308]', '"1e309"', '"\\ud83d\\udc4b"', '"\\\\ud83d"', '{"\\ud83d\\udc4b":1}', '"\\ufffe\\u0000"'
]
