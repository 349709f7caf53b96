import { expect, it } from "vitest";
import { createHost, createRequest, openPoolRig, serveHttp } from "../../../test/support/pool-rig.ts";
import { readSize } from "../../lib/read-turns.ts";

it("reads a long answer in pieces, between which others have their turn", async () => {
  const size = 2_000_000;
  const server = await serveHttp((_request, response) => response.end(Buffer.alloc(size)));
  const { pools } = openPoolRig();
  const { body } = await pools.send(createHost(server.port), createRequest(), "DEFAULT").response;
  let [received, ofTurn, most] = [0, 0, 0];
  await new Promise<void>((resolve, reject) => {
    body?.pipe({
      write(chunk) {
        if (ofTurn === 0) {
          setImmediate(() => {
            ofTurn = 0;
          });
        }
        received += chunk.length;
        ofTurn += chunk.length;
        // The first is what was kept before anybody read.
        if (received > chunk.length) most = Math.max(most, ofTurn);
        return true;
      },
      end: () => resolve(),
      abort: reject,
    });
  });
  expect(received).toBe(size);
  expect(most).toBeLessThanOrEqual(2 * readSize);
});
