import { done, type ListenerFilter } from "./listener-filter.ts";

/**
 * Original destinations of connections that iptables redirects (SO_ORIGINAL_DST) cannot be read without native code. The
 * address of the socket itself is what remains: it is the original destination wherever nothing was redirected by NAT,
 * such as on an address of the service itself, and where a PROXY protocol header named another.
 */
export function compileOriginalDst(): ListenerFilter {
  return {
    name: "envoy.filters.listener.original_dst",
    accept(accepted) {
      accepted.isLocalAddressRestored = true;
      return done;
    },
    inspect: () => done,
  };
}
