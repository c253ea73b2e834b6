import promises from "./fs/promises.ts";

export { promises };
export default { promises };
