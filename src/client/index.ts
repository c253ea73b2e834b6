export { MadroxError, type MadroxErrorCode } from "./error.ts";
export type { MadroxOptions } from "./http.ts";
export { Madrox, type MessageResponse, type OutputRow, type WaitOptions } from "./madrox.ts";
export type { MadroxEvent, StreamOptions } from "./stream.ts";
export type * from "./tools.ts";
