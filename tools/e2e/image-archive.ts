/** Images as archives that containerd imports (`docker save`'s form): layers, a configuration, a list of both. */
import { createHash } from "node:crypto";
import { createReadStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { runProgram } from "./run-program.ts";

export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
}

export interface Image {
  /** With registry and tag. */
  readonly name: string;
  /** Folders, the lowest layer first; images that share a folder share its layer. */
  readonly layers: readonly string[];
  readonly config: ImageConfig;
}

/** Node's words for processors and those of images. */
const architectures = new Map([
  ["x64", "amd64"],
  ["arm64", "arm64"],
]);

/** Writes one archive with all the images. */
export async function writeImageArchive(file: string, images: readonly Image[]): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), "meltemi-images-"));
  try {
    const layers = new Map<string, string>();
    for (const folder of new Set(images.flatMap((image) => image.layers)))
      layers.set(folder, await packLayer(work, folder, layers.size));
    const manifest = images.map((image, index) => {
      const digests = image.layers.map((folder) => layers.get(folder) ?? "");
      const config = {
        architecture: architectures.get(process.arch) ?? process.arch,
        os: "linux",
        config: image.config,
        rootfs: { type: "layers", diff_ids: digests.map((digest) => `sha256:${digest}`) },
      };
      writeFileSync(join(work, `config-${index}.json`), JSON.stringify(config));
      return {
        Config: `config-${index}.json`,
        RepoTags: [image.name],
        Layers: digests.map((digest) => `${digest}.tar`),
      };
    });
    writeFileSync(join(work, "manifest.json"), JSON.stringify(manifest));
    await runProgram("tar", ["-C", work, "-cf", file, "."]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** One folder as DIGEST.tar, the same bytes whenever its files are the same. */
async function packLayer(work: string, folder: string, number: number): Promise<string> {
  const made = join(work, `layer-${number}`);
  // Readable for the users of the images, whatever the checkout's own permissions are.
  const same = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=a+rX"];
  await runProgram("tar", ["-C", folder, ...same, "-cf", made, "."]);
  const hash = createHash("sha256");
  await pipeline(createReadStream(made), hash);
  const digest = hash.digest("hex");
  await runProgram("mv", [made, join(work, `${digest}.tar`)]);
  return digest;
}

/** An empty folder for a layer. */
export function createLayer(parent: string, name: string): string {
  const folder = join(parent, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}
