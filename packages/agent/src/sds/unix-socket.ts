/** Unix sockets that servers of the agent listen on. */
import { chmod, mkdir, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";

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

/** Makes the directory, and takes away a socket that an earlier process left behind. */
export async function clearSocket(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await unlink(path).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
  });
}

/** Rights of a socket: whoever may write to it can connect. */
export async function allowSocket(path: string, mode: number): Promise<void> {
  await chmod(path, mode);
}
