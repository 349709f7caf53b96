import type { Echo } from "@meltemi/protos/envoy/extensions/filters/network/echo/v3";
import type { NetworkFilterFactory } from "./types.ts";

/** Sends back what it gets. */
export const echoFactory: NetworkFilterFactory<Echo> = {
  name: "envoy.filters.network.echo",
  type: "envoy.extensions.filters.network.echo.v3.Echo",
  compile: () => ({
    serve({ stream, info }) {
      stream.on("data", (chunk: Buffer) => {
        info.bytesReceived += chunk.length;
        info.bytesSent += chunk.length;
      });
      stream.pipe(stream);
    },
  }),
};
