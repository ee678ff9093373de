/* Runs a peer that is written in JavaScript: node serve.mjs peers/naive.mjs '{"port":3000,…}' */
const { default: peer } = await import(new URL(process.argv[2], import.meta.url))
await peer.serve(JSON.parse(process.argv[3]))
