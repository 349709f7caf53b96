/** ENABLE_NATIVE_SIDECARS: "auto" asks the nodes. */
export type NativeSidecarMode = "auto" | "true" | "false";

/** Minor version of Kubernetes in which sidecars among the init containers became stable. */
const stableSince = 33;

/**
 * Whether sidecars become init containers that keep running. In mode auto, every kubelet that the pod could run under
 * must know them for good: pass the version of the pod's own node where it has one, else those of all nodes. A version
 * that cannot be read counts as too old; without any node known it is as Istio has it, true.
 */
export function supportsNativeSidecars(mode: NativeSidecarMode, kubeletVersions: readonly string[]): boolean {
  if (mode !== "auto") return mode === "true";
  return kubeletVersions.every((version) => {
    const [, major, minor] = /^v?(\d{1,4})\.(\d{1,4})(?:[.+-]|$)/.exec(version) ?? [];
    return major !== undefined && (Number(major) > 1 || Number(minor) >= stableSince);
  });
}
