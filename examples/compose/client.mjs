// Provisions an agent, waits for it, chats with it and deletes it, with nothing but fetch.
import { setTimeout as sleep } from "node:timers/promises";

const { ROUTER_URL, ROUTER_TOKEN } = process.env;

async function call(method, path, body) {
  const answer = await fetch(`${ROUTER_URL}/internal/v1/smoke${path}`, {
    method,
    headers: { authorization: `Bearer ${ROUTER_TOKEN}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(120_000),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}

async function provision(key) {
  const spec = { manifest_id: "hermes-basic", region_id: "eu-central", tier_id: "basic" };
  await call("POST", "/provision", { idempotency_key: key, ...spec });
}

async function booted(key) {
  const deadline = Date.now() + 900_000;
  while (Date.now() < deadline) {
    const { instance_id, status } = await (await call("GET", `/instances/by-key/${key}`)).json();
    if (status === "running") return instance_id;
    await sleep(500);
  }
  throw new Error(`${key} did not boot within 15 minutes`);
}

async function chat(id, message) {
  const answer = await call("POST", `/instances/${id}/chat`, { message });
  let reply = "";
  let rest = "";
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: {")) continue;
      reply += JSON.parse(line.slice(6)).choices[0]?.delta.content ?? "";
    }
  }
  return reply;
}

const key = `node-${crypto.randomUUID()}`;
await provision(key);
const id = await booted(key);
try {
  console.log(await chat(id, "Are you ready?"));
} finally {
  console.log((await (await call("DELETE", `/instances/${id}`)).json()).status);
}
