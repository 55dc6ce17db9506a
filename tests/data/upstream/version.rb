# frozen_string_literal: true

module Mastodon
  module Version
    module_function

    def major
      4
    end

    def minor
      8
    end

    def patch
      0
    end

    # Goes up with each security release
    def default_prerelease
      'alpha.1' # between releases
    end

    def prerelease
      version_configuration[:prerelease].presence || default_prerelease
    end

    def to_a
      [major, minor, patch].compact
    end
  end
end
