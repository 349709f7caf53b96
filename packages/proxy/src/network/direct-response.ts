import type { Config } from "@meltemi/protos/envoy/extensions/filters/network/direct_response/v3";
import { within } from "../lib/config-error.ts";
import { readDataSource } from "../router/data-source.ts";
import type { NetworkFilterFactory } from "./types.ts";

/** Says the same to everybody, and hangs up. */
export const directResponseFactory: NetworkFilterFactory<Config> = {
  name: "envoy.filters.network.direct_response",
  type: "envoy.extensions.filters.network.direct_response.v3.Config",
  compile({ response }) {
    const bytes = response === undefined ? Buffer.alloc(0) : within("response", () => readDataSource(response));
    return {
      serve(connection) {
        connection.info.bytesSent += bytes.length;
        connection.stream.write(bytes);
        connection.info.responseCodeDetails = "direct_response";
        connection.close("flush");
      },
    };
  },
};
