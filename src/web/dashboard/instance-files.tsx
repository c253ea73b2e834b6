import { Icon } from "../shared/icon.tsx";
import { useAction } from "../shared/modal.tsx";
import type { FileEntry } from "../shared/records.ts";
import { download } from "../shared/server.ts";
import { bytes } from "../shared/wording.ts";
import { useResource } from "./resource.ts";

const PACE_MS = 2_000;

/** An instance's files, to save. */
export function InstanceFiles({ id, version }: { id: string; version: number }) {
  const { data, error } = useResource<{ files: FileEntry[]; next_cursor: string | null }>(
    `/instances/${id}/files?limit=200`,
    version,
    PACE_MS,
  );
  const { problem, perform } = useAction();
  const files = (data?.files ?? []).filter((entry) => entry.type === "file");
  return (
    <section className="fact-group" aria-label="Files">
      <h2>Files {files.length > 0 ? <span className="quiet">{files.length}</span> : null}</h2>
      {error ? <p className="quiet">{error.message}</p> : null}
      {data && files.length === 0 ? <p className="quiet">It has written none.</p> : null}
      <ul className="files">
        {files.map((file) => (
          <li key={file.path}>
            <button
              type="button"
              onClick={() => void perform(() => download(id, file.path))}
              title={`Save ${file.path}`}
            >
              <Icon name="file" />
              <span className="file-path">{file.path}</span>
              <span className="quiet">{bytes(file.size)}</span>
              <Icon name="download" />
            </button>
          </li>
        ))}
      </ul>
      {problem ? <p className="problem">{problem}</p> : null}
      {data?.next_cursor ? <p className="quiet">There are more, in the zip archive and over the API.</p> : null}
    </section>
  );
}
