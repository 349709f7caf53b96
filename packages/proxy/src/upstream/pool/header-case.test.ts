import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { afterEach, expect, it } from "vitest";
import {
  createHost,
  createPoolRig,
  createRequest,
  listen,
  type PoolRig,
  type TestServer,
} from "../../../test/support/pool-rig.ts";
import { HeaderList } from "../../http/header-list.ts";

const opened: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

function track<One extends { close(): unknown }>(one: One): One {
  opened.push(one);
  return one;
}

function rig(...options: Parameters<typeof createPoolRig>): PoolRig {
  const made = createPoolRig(...options);
  track(made.pools);
  return made;
}

async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<TestServer> {
  return track(await listen(createHttpServer(handle)));
}

it("keeps or makes the case of names as it is told", async () => {
  const seen: string[][] = [];
  const server = await serve((request, response) => {
    seen.push(request.rawHeaders);
    response.setHeader("X-CaSe", "1").end();
  });
  const spelt = new HeaderList(["x-odd-one", "1"]);
  spelt.spelling = new Map([["x-odd-one", "X-oDD-One"]]);
  const proper = rig({ http_protocol_options: { header_key_format: { proper_case_words: {} } } });
  const plain = createRequest({ headers: new HeaderList(["x-odd-one", "1"]) });
  await proper.pools.send(createHost(server.port), plain, "DEFAULT").response;
  await rig().pools.send(createHost(server.port), createRequest({ headers: spelt }), "DEFAULT").response;
  expect(seen).toEqual([
    ["Host", "a.test", "X-Odd-One", "1"],
    ["host", "a.test", "X-oDD-One", "1"],
  ]);
});
