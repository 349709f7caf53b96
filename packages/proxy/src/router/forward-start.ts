import type { Exchange } from "../http/exchange.ts";
import type { HttpResponse } from "../http/message.ts";
import type { UpstreamCluster } from "../upstream/types.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import type { ForwardRules } from "./forward-rules.ts";
import type { RouterEnv } from "./router-env.ts";

/** What a request that goes to a cluster begins with, and who is told how it ends. */
export interface ForwardStart {
  readonly env: RouterEnv;
  readonly exchange: Exchange;
  readonly route: CompiledRoute;
  readonly rules: ForwardRules;
  readonly cluster: UpstreamCluster;
  readonly resolve: (response: HttpResponse) => void;
  readonly reject: (cause: Error) => void;
}
