# Broadcasts through Action Cable, and prints what Action Cable itself receives.
#
#   ruby rails.rb CABLE_YML_AS_JSON DATABASE_URL CHANNEL...
#
# It subscribes to the channels, says {"subscribed": n}, and then takes commands, a
# line of JSON each: {"how": "server" or "pubsub", "channel": "...", "message": ...}.
# It answers {"done": true} or {"error": "..."}, and prints {"channel": "...",
# "message": "..."} for what it receives.
require "json"
require "logger"
require "active_record"
require "action_cable"

$stdout.sync = true
output = Mutex.new
say = ->(object) { output.synchronize { puts JSON.generate(object) } }

config, url, *channels = ARGV
ActiveRecord::Base.establish_connection(url)
ActionCable.server.config.cable = JSON.parse(config).with_indifferent_access
ActionCable.server.config.logger = Logger.new(nil)

subscribed = Queue.new
channels.each do |channel|
  received = ->(message) { say.({ channel: channel, message: message }) }
  ActionCable.server.pubsub.subscribe(channel, received, -> { subscribed << channel })
end
channels.each { subscribed.pop }
say.({ subscribed: channels.length })

$stdin.each_line do |line|
  command = JSON.parse(line)
  begin
    sender = command["how"] == "server" ? ActionCable.server : ActionCable.server.pubsub
    sender.broadcast(command["channel"], command["message"])
    say.({ done: true })
  rescue StandardError => e
    say.({ error: e.message })
  end
end
