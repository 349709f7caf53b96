import type { PlainObject } from "../api/plain-value.ts";
import { container } from "./annotation-names.ts";
import type { PodDraft } from "./pod-draft.ts";
import { findNamed, nameOf } from "./pod-fields.ts";

/**
 * The order in which containers start (pkg/kube/inject, reorderPod). The proxy is last, so that kubectl takes the
 * application's container by default, or first where applications wait for it. Among the init containers a native sidecar
 * comes right after the redirection and before all others, which are then part of the mesh; without one, redirection comes
 * last, so that others still reach the network, and its check first, so that nothing starts without it.
 */
export function orderContainers(draft: PodDraft, isProxyFirst: boolean): PodDraft {
  const { containers, initContainers } = draft;
  const isNative = findNamed(initContainers, container.proxy) !== undefined;
  return {
    ...draft,
    containers: isProxyFirst ? sort(containers, [container.proxy], []) : sort(containers, [], [container.proxy]),
    initContainers: isNative
      ? sort(initContainers, [container.init, container.validation, container.proxy, container.coreDump], [])
      : sort(initContainers, [container.validation], [container.init, container.coreDump]),
  };
}

function sort(
  items: readonly PlainObject[],
  first: readonly string[],
  last: readonly string[],
): readonly PlainObject[] {
  const pick = (names: readonly string[]) => names.flatMap((name) => items.filter((item) => nameOf(item) === name));
  const named: ReadonlySet<string> = new Set([...first, ...last]);
  return [...pick(first), ...items.filter((item) => !named.has(nameOf(item))), ...pick(last)];
}
