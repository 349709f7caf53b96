/** Names under which the node knows the images; nothing is ever pulled. */
import packageJson from "../../package.json" with { type: "json" };

const { version } = packageJson;
// containerd's full form of a name without a registry, as the chart and the manifests have them.
export const controlPlaneImage = `docker.io/library/meltemi:${version}`;
export const proxyImage = `docker.io/library/meltemi-proxy:${version}`;
export const bookinfoImage = `docker.io/library/meltemi-bookinfo:${version}`;
export const toolboxImage = "docker.io/library/e2e-toolbox:1";
export const pauseImage = "docker.io/library/e2e-pause:1";
export const corednsImage = "docker.io/library/e2e-coredns:1";
