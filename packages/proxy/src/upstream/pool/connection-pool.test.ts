import { createServer } from "node:http";
import { expect, it } from "vitest";
import { createHost, createPoolRig, createRequest, listen, readText } from "../../../test/support/pool-rig.ts";
import { type BodySource, bodyOf } from "../../http/body.ts";

it("gives a request that is sent from within another one a connection of its own", async () => {
  const server = await listen(
    createServer((request, response) => {
      void request.toArray().then((chunks) => response.end(`${request.url} ${chunks.join("")}`));
    }),
  );
  const { pools, stats } = createPoolRig();
  const host = createHost(server.port);
  const ask = (path: string, body: BodySource): Promise<string> =>
    pools
      .send(host, createRequest({ method: "POST", path, body }), "DEFAULT")
      .response.then((each) => readText(each.body));
  await ask("/first", bodyOf(Buffer.from("a")));
  let inner: Promise<string> | undefined;
  // As a copy for a mirror is: when the client has said all, which it has before its request begins.
  const whole = bodyOf(Buffer.from("b"));
  const outer = ask("/outer", {
    ...whole,
    pipe: (sink) =>
      whole.pipe({
        write: (chunk) => sink.write(chunk),
        abort: (cause) => sink.abort(cause),
        end(trailers) {
          sink.end(trailers);
          inner = ask("/inner", bodyOf(Buffer.from("c")));
        },
      }),
  });
  expect(await outer).toBe("/outer b");
  expect(await inner).toBe("/inner c");
  expect(stats.read("upstream_cx_total")).toBe(2);
  await pools.close();
  await server.close();
});
