import { expect, it } from "vitest";
import { createHost, createRequest, openPoolRig, serveHttp } from "../../../test/support/pool-rig.ts";
import { HeaderList } from "../../http/header-list.ts";

it("keeps or makes the case of names as it is told", async () => {
  const seen: string[][] = [];
  const server = await serveHttp((request, response) => {
    seen.push(request.rawHeaders);
    response.setHeader("X-CaSe", "1").end();
  });
  const spelt = new HeaderList(["x-odd-one", "1"]);
  spelt.spelling = new Map([["x-odd-one", "X-oDD-One"]]);
  const proper = openPoolRig({ http_protocol_options: { header_key_format: { proper_case_words: {} } } });
  const plain = createRequest({ headers: new HeaderList(["x-odd-one", "1"]) });
  await proper.pools.send(createHost(server.port), plain, "DEFAULT").response;
  await openPoolRig().pools.send(createHost(server.port), createRequest({ headers: spelt }), "DEFAULT").response;
  expect(seen).toEqual([
    ["Host", "a.test", "X-Odd-One", "1"],
    ["host", "a.test", "X-oDD-One", "1"],
  ]);
});
