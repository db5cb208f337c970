// SPDX-License-Identifier: Apache-2.0
#include "app/remote.h"

namespace baton::app {

std::string ControlRemote::name() {
  if (name_.empty()) {
    control::ListRequest request;
    request.set_resource("sys");
    const control::Records answer = control_->list(request);
    for (const control::Record& record : answer.records()) {
      for (const control::Attribute& attribute : record.attributes()) {
        if (attribute.name() == "name") name_ = attribute.value();
      }
    }
  }
  return name_;
}

std::vector<migration::Finding> ControlRemote::validate(const std::string& description) {
  control::DescriptionRequest request;
  request.set_description(description);
  std::vector<migration::Finding> out;
  const control::Findings answer = control_->validate_incoming(request);
  for (const control::Finding& finding : answer.findings()) {
    out.push_back({finding.code(), finding.text()});
  }
  return out;
}

migration::RemoteSystem::Shell ControlRemote::create_shell(const std::string& description, u64 stream_id) {
  control::DescriptionRequest request;
  request.set_description(description);
  request.set_stream_id(stream_id);
  const control::Shell shell = control_->create_shell(request);
  return {shell.mover_address(), shell.key(), shell.lpar_id(), shell.mover()};
}

void ControlRemote::abandon_shell(u64 stream_id) {
  control::StreamRequest request;
  request.set_stream_id(stream_id);
  control_->abandon_shell(request);
}

std::string ControlRemote::failure(u64 stream_id) {
  const control::MigrationProgresses answer = control_->progress("");
  for (const control::MigrationProgress& move : answer.moves())
    if (move.stream_id() == stream_id && move.finished() && !move.ok()) return move.error();
  return {};
}

migration::RemoteSystem::Outcome ControlRemote::settle(u64 stream_id) {
  control::StreamRequest request;
  request.set_stream_id(stream_id);
  switch (control_->settle_move(request).rc()) {
    case static_cast<int>(Outcome::kOwned):
      return Outcome::kOwned;
    case static_cast<int>(Outcome::kIncomplete):
      return Outcome::kIncomplete;
    default:
      return Outcome::kNotOwned;
  }
}

}  // namespace baton::app
