/** Unix sockets that servers of the agent listen on. */
import { chmod, lstat, mkdir, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { type Server, ServerCredentials } from "@grpc/grpc-js";

/** True where somebody answers on the socket; false where there is none, or it was left behind. */
export function isSocketServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const finish = (isServed: boolean): void => {
      socket.destroy();
      resolve(isServed);
    };
    socket.once("connect", () => finish(true));
    socket.once("error", () => finish(false));
  });
}

/**
 * Listens on a socket, in place of one that an earlier process left behind. Whoever may write to the socket, by `mode`, can
 * connect. Rejects where it cannot be made.
 */
export async function listenOnSocket(server: Server, path: string, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const left = await lstat(path).catch(() => undefined);
  // Anything but a socket is somebody's: then the path is taken.
  if (left?.isSocket() === true) await unlink(path);
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
  await chmod(path, mode);
}
