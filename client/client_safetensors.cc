// Bundles from and to safetensors files.

#include <tensorbroker/client.h>

#include "client/client_impl.h"
#include "client/decode.h"
#include "client/metadata.h"
#include "client/publish.h"
#include "client/safetensors_file.h"
#include "proto/header.h"
#include "proto/name.h"

namespace tensorbroker {

Bundle Client::load_safetensors(std::string_view name, const std::string& path, const PutOptions& options) {
  check_name(name);
  check_metadata(options.metadata);
  const safetensors::File file(path);
  const std::string& metadata = options.metadata.empty() ? file.header().metadata : options.metadata;
  check_metadata(metadata);
  const std::vector<std::byte> header = encode_header(file.specs(), metadata);
  check_header(header, file.block_bytes(), true);
  const Publication publication{
      .name = name, .header = header, .nbytes = file.block_bytes(), .is_bundle = true, .overwrite = options.overwrite};
  return impl_->with_attachment_in_order([&](Attachment& attachment, const Limit& limit) {
    const Fill read = [&](std::byte* block) { file.read(block); };
    return Bundle(publish_filled(attachment, publication, read, limit));
  });
}

void Client::save_safetensors(std::string_view name, const std::string& path) const {
  const detail::StorageRef storage = impl_->lease(name);
  if (!storage) impl_->throw_not_found(name);
  const std::string_view metadata = metadata_of(*storage.get());
  if (storage->state().is_bundle) {
    safetensors::write(path, Bundle(storage).members(), metadata);
  } else {
    const Bundle::Member tensor(std::string(name), decode_tensor(storage));
    safetensors::write(path, {&tensor, 1}, metadata);
  }
}

}  // namespace tensorbroker
